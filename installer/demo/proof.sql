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
-- what all accounts sum to, accounts that are not the sum of their transfers, members below zero,
-- what stores are short of, and what central could not take
with moved as (
    select account_id, sum(amount) as amount
    from (
        select credit_account_id as account_id, amount from ledger_transfer
        union all
        select debit_account_id, -amount from ledger_transfer
    ) as sides
    group by account_id
)
select (select coalesce(sum(balance), 0) from ledger_account)::bigint,
       (select count(*) from ledger_account a left join moved m using (account_id)
        where a.balance <> coalesce(m.amount, 0)),
       (select count(*) from ledger_account
        where kind in ('avail', 'pending', 'held', 'escrow') and balance < 0),
       (select coalesce(-sum(balance), 0) from ledger_account
        where kind = 'store_shortage')::bigint,
       (select count(*) from quarantine)

-- members --
-- what belongs to each member: available, pending, owed, held, and set aside for a store
select customer_id, sum(balance)::bigint
from (
    select owner as customer_id, balance from ledger_account
    where kind in ('avail', 'pending', 'debt', 'held') and asset like 'points:%'
    union all
    select l.owner, a.balance
    from ledger_account a join lease l on l.lease_id = a.owner
    where a.kind = 'escrow' and a.asset like 'points:%'
) as parts
group by customer_id
