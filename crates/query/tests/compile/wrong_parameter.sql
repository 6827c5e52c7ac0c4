SELECT id FROM customer WHERE id = {name}
