SELECT id, name FROM customer ORDER BY id DESC LIMIT 1
