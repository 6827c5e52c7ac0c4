-- A migration that cannot be parsed.
CREATE TABLE item (
    id int PRIMARY KEY,
    label text NOT NULL,
);
