-- The id is a UUID v7: its text sorts by time of creation, so the primary key is the list's order.
CREATE TABLE items (
    id         TEXT    NOT NULL PRIMARY KEY,
    title      TEXT    NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    notes      TEXT    NOT NULL DEFAULT '' CHECK (length(notes) <= 2000),
    due_on     TEXT    CHECK (due_on GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    done       INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
    overdue    INTEGER NOT NULL DEFAULT 0 CHECK (overdue IN (0, 1)),
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- For the filtered list: newest first among the done, or among the open.
CREATE INDEX items_by_done ON items (done, id);

-- For the worker: the open items by due date, and the few that carry a mark.
CREATE INDEX items_open_by_due_on ON items (due_on) WHERE done = 0;
CREATE INDEX items_overdue ON items (id) WHERE overdue = 1;
