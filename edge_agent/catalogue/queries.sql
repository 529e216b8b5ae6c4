-- put_store --
-- A store as central describes it.
INSERT INTO store (store_id, entry) VALUES (:key, :entry)
ON CONFLICT (store_id) DO UPDATE SET entry = excluded.entry;

-- forget_store --
-- A store that is no more.
DELETE FROM store WHERE store_id = :key;

-- store --
-- One store.
SELECT entry FROM store WHERE store_id = :key;

-- put_product --
-- A product of the reference.
INSERT INTO product (sku, entry) VALUES (:key, :entry)
ON CONFLICT (sku) DO UPDATE SET entry = excluded.entry;

-- forget_product --
-- A product that left the reference.
DELETE FROM product WHERE sku = :key;

-- products --
-- The products of one receipt.
SELECT entry FROM shown_product WHERE sku IN (SELECT value FROM json_each(:keys));

-- products_settled --
-- The same while no checkpoint waits for its place.
SELECT entry FROM product WHERE sku IN (SELECT value FROM json_each(:keys));

-- put_coupon --
-- A public coupon code.
INSERT INTO coupon (code, entry) VALUES (:key, :entry)
ON CONFLICT (code) DO UPDATE SET entry = excluded.entry;

-- forget_coupon --
-- A code that was withdrawn.
DELETE FROM coupon WHERE code = :key;

-- coupons --
-- The codes of one receipt.
SELECT entry FROM shown_coupon WHERE code IN (SELECT value FROM json_each(:keys));

-- coupons_settled --
-- The same while no checkpoint waits for its place.
SELECT entry FROM coupon WHERE code IN (SELECT value FROM json_each(:keys));

-- store_entries --
-- What is kept of some stores.
SELECT store_id, entry FROM store WHERE store_id IN (SELECT value FROM json_each(:keys));

-- product_entries --
-- What is kept of some products.
SELECT sku, entry FROM product WHERE sku IN (SELECT value FROM json_each(:keys));

-- coupon_entries --
-- What is kept of some codes.
SELECT code, entry FROM coupon WHERE code IN (SELECT value FROM json_each(:keys));
