-- Counterparts whose address people have given: it is taken as it is.
CREATE TABLE partner_fixed (
    participant TEXT NOT NULL,
    id          TEXT NOT NULL, -- as the counterpart's messages name it
    base        TEXT NOT NULL,
    title       TEXT NOT NULL,
    PRIMARY KEY (participant, id)
);
