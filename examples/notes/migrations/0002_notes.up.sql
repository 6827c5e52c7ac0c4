CREATE TABLE note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id int NOT NULL REFERENCES author (id),
    title text NOT NULL,
    body text,
    labels jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('draft', 'published')),
    written timestamp with time zone NOT NULL DEFAULT now()
);

CREATE INDEX note_by_author ON note (author_id);
