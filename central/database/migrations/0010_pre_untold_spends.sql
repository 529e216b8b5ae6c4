-- Parts of leases whose tills told of less than they had spent, or may have.
alter table sub_lease add column is_certain boolean not null default true;
create index sub_lease_untold on sub_lease (lease_id)
    where spent_count > close_count or not is_certain;
create index sub_lease_uncertain on sub_lease (till_edge_id) where not is_certain;
