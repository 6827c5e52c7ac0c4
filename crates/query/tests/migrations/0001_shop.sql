-- Customers and what they order.
CREATE TABLE customer (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text UNIQUE,
    born date,
    since timestamp with time zone NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customer (id),
    total numeric(12, 2) NOT NULL CHECK (total >= 0),
    note varchar(200),
    tags text[],
    extra jsonb
);

CREATE VIEW spending AS
    SELECT customer_id, sum(total) AS spent, count(*) AS orders FROM orders GROUP BY customer_id;
