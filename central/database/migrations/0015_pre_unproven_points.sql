-- the most points of an account, in hundredths, that a receipt may take whose customer showed no
-- code of the app; null: no bound
alter table store add column unproven_points_max bigint check (unproven_points_max >= 0);
