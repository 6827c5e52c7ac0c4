CREATE TABLE note (id int PRIMARY KEY, content text NOT NULL);
