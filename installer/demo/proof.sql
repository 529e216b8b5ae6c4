-- receipts --
-- every receipt central has counted, with its sums
select encode(record_uid, 'hex'), receipt_id, store_id, list_minor, discount_minor, net_minor,
       points_spent_centi, to_pay_minor, earned_centi
from receipt

-- lines --
-- every line of every receipt central has counted
select encode(record_uid, 'hex'), line, list_minor, discount_minor, net_minor,
       points_spent_minor, to_pay_minor
from receipt_line

-- ledger --
-- what all accounts sum to, accounts that are not the sum of their transfers, members below zero
with moved as (
    select account_id, sum(amount_centi) as centi
    from (
        select credit_account_id as account_id, amount_centi from ledger_transfer
        union all
        select debit_account_id, -amount_centi from ledger_transfer
    ) as sides
    group by account_id
)
select (select coalesce(sum(balance_centi), 0) from ledger_account)::bigint,
       (select count(*) from ledger_account a left join moved m using (account_id)
        where a.balance_centi <> coalesce(m.centi, 0)),
       (select count(*) from ledger_account
        where kind in ('avail', 'pending', 'escrow') and balance_centi < 0),
       (select coalesce(-sum(balance_centi), 0) from ledger_account
        where kind = 'store_shortage')::bigint,
       (select count(*) from quarantine)

-- members --
-- what belongs to each member: available, pending, and set aside for a store
select customer_id, sum(balance_centi)::bigint
from (
    select owner as customer_id, balance_centi from ledger_account
    where kind in ('avail', 'pending')
    union all
    select l.customer_id, a.balance_centi
    from ledger_account a join lease l on l.lease_id = a.owner
    where a.kind = 'escrow'
) as parts
group by customer_id
