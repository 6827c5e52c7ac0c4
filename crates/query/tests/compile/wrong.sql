SELECT id,
    nam
FROM customer
