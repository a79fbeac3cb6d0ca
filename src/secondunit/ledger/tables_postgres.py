"""The ledger's tables in PostgreSQL: the same orders and the same promises as in `tables`.

Beyond those, a day's cap is kept here, over all orders of all who share them, by the server's own
clock. Caps are exact however many order at once: whoever writes an order waits for the turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secondunit.ledger.tables import FREE, MOVES, REBUILT, STATES

if TYPE_CHECKING:
    from secondunit.ledger.rows import Link

VERSION = 1
SCHEMA = "secondunit"
TURN, FILM, GATEWAY = 72201, 72202, 72203  # kinds of advisory locks; the second number says which
ONE_BY_ONE = f"SELECT pg_advisory_xact_lock({TURN}, 0)"
WITHIN_CAPS = f"""
DECLARE day numeric;
BEGIN
    PERFORM pg_advisory_xact_lock({TURN}, 0);
    IF NEW.film_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM {SCHEMA}.orders
        WHERE gateway != '{FREE}' AND film = NEW.film)
    THEN RAISE integrity_constraint_violation USING MESSAGE = 'cap of film'; END IF;
    IF NEW.run_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM {SCHEMA}.orders
        WHERE gateway != '{FREE}' AND run = NEW.run)
    THEN RAISE integrity_constraint_violation USING MESSAGE = 'cap of run'; END IF;
    IF NEW.shot_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM {SCHEMA}.orders
        WHERE gateway != '{FREE}' AND film = NEW.film AND shot = NEW.shot)
    THEN RAISE integrity_constraint_violation USING MESSAGE = 'cap of shot'; END IF;
    NEW.at = clock_timestamp();
    IF NEW.day_cap IS NOT NULL AND NEW.gateway != '{FREE}' THEN
        SELECT coalesce(sum(cost), 0) INTO day FROM {SCHEMA}.orders
        WHERE gateway != '{FREE}' AND run != '{REBUILT}' AND at > NEW.at - interval '24 hours';
        IF NEW.day_cap < NEW.reserved + day
        THEN RAISE integrity_constraint_violation USING MESSAGE = 'cap of day ' || day; END IF;
    END IF;
    RETURN NEW;
END
"""  # noqa: S608  names of our own, here and below
ONLY_MOVES = f"""
BEGIN
    IF NOT EXISTS (SELECT FROM {SCHEMA}.moves WHERE before = OLD.state AND after = NEW.state)
    THEN RAISE integrity_constraint_violation USING MESSAGE = 'move'; END IF;
    RETURN NEW;
END
"""
RULES = {"within_caps": WITHIN_CAPS, "only_moves": ONLY_MOVES}
UNIQUE = ("one_order", "one_ticket", "orders_pkey")
FIRST = (
    f"CREATE TABLE {SCHEMA}.about (version integer NOT NULL)",
    f"""
    CREATE TABLE {SCHEMA}.orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key text NOT NULL,
        film text NOT NULL,
        run text NOT NULL,
        shot text NOT NULL,
        gateway text NOT NULL,
        endpoint text NOT NULL,
        model text NOT NULL,
        request text NOT NULL,
        state text NOT NULL CHECK (state IN ({STATES})),
        ticket text,
        reserved bigint NOT NULL CHECK (reserved >= 0),
        estimate bigint,
        charged bigint,
        reason text NOT NULL DEFAULT '',
        failure_code text NOT NULL DEFAULT '',
        ordered_at text NOT NULL,
        changed_at text NOT NULL,
        evidence text,
        film_cap bigint,
        run_cap bigint,
        shot_cap bigint,
        day_cap bigint,
        at timestamptz NOT NULL,
        cost bigint GENERATED ALWAYS AS (
            CASE WHEN state IN ('unsent', 'rejected') THEN 0
                 ELSE greatest(0, coalesce(charged, greatest(coalesce(estimate, 0), reserved)))
            END) STORED,
        CHECK (state NOT IN ('open', 'made', 'kept') OR ticket IS NOT NULL)
    )
    """,
    f"""
    CREATE UNIQUE INDEX one_order ON {SCHEMA}.orders (key)
        WHERE state IN ('intent', 'doubt', 'open', 'made', 'kept', 'lost')
    """,
    f"CREATE UNIQUE INDEX one_ticket ON {SCHEMA}.orders (gateway, ticket) WHERE ticket IS NOT NULL",
    f"CREATE INDEX by_key ON {SCHEMA}.orders (key)",
    f"CREATE INDEX by_film ON {SCHEMA}.orders (film)",
    f"CREATE INDEX by_run ON {SCHEMA}.orders (run)",
    f"CREATE INDEX by_day ON {SCHEMA}.orders (at)",
    f"""
    CREATE TABLE {SCHEMA}.history (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        order_id bigint NOT NULL REFERENCES {SCHEMA}.orders (id),
        state text NOT NULL,
        reason text NOT NULL,
        at text NOT NULL
    )
    """,
    f"CREATE INDEX by_order ON {SCHEMA}.history (order_id)",
    f"CREATE TABLE {SCHEMA}.moves (before text, after text, PRIMARY KEY (before, after))",
    # Who holds a film now, or held it last. The lock itself is an advisory one, FILM and the id;
    # `number` counts the holders, so that one who lost the connection knows whether others came.
    f"""
    CREATE TABLE {SCHEMA}.holds (
        id integer GENERATED ALWAYS AS IDENTITY UNIQUE,
        film text PRIMARY KEY,
        number bigint NOT NULL DEFAULT 0,
        holder text NOT NULL DEFAULT '',
        since timestamptz
    )
    """,
    *(
        f"CREATE FUNCTION {SCHEMA}.{name}() RETURNS trigger LANGUAGE plpgsql AS $rule${rule}$rule$"
        for name, rule in RULES.items()
    ),
    f"""
    CREATE TRIGGER within_caps BEFORE INSERT ON {SCHEMA}.orders
    FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.within_caps()
    """,
    f"""
    CREATE TRIGGER only_moves BEFORE UPDATE OF state ON {SCHEMA}.orders
    FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.only_moves()
    """,
)
HAS_TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"  # noqa: S608
    f" WHERE n.nspname = '{SCHEMA}' AND c.relname = 'about'"
)
HAS_SCHEMA = f"SELECT count(*) FROM pg_namespace WHERE nspname = '{SCHEMA}'"  # noqa: S608
PROMISES = f"""
SELECT 'trigger', tgname::text FROM pg_trigger
    WHERE tgrelid = to_regclass('{SCHEMA}.orders') AND NOT tgisinternal AND tgenabled IN ('O', 'A')
UNION ALL SELECT 'unique', i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass('{SCHEMA}.orders') AND x.indisunique AND x.indisvalid
UNION ALL SELECT 'rule', prosrc FROM pg_proc WHERE pronamespace = to_regnamespace('{SCHEMA}')
UNION ALL SELECT before, after FROM {SCHEMA}.moves
"""  # noqa: S608


def version_of(db: Link) -> int:
    """Return the version of the tables that are there; 0: none."""
    # not with to_regclass, which may not see what another has made since it was last asked
    if not db.execute(HAS_TABLES).fetchone()[0]:
        return 0
    return int(db.execute(f"SELECT version FROM {SCHEMA}.about").fetchone()[0])  # noqa: S608


def begin(db: Link) -> None:
    """Make the tables, inside a transaction, where nobody else has meanwhile."""
    if version_of(db):
        return
    if not db.execute(HAS_SCHEMA).fetchone()[0]:
        db.execute(f"CREATE SCHEMA {SCHEMA}")
    for statement in FIRST:
        db.execute(statement)
    for before, all_ in MOVES.items():
        for after in all_:
            db.execute(f"INSERT INTO {SCHEMA}.moves VALUES (?, ?)", (before, after))  # noqa: S608
    db.execute(f"INSERT INTO {SCHEMA}.about VALUES (?)", (VERSION,))  # noqa: S608


def are_kept(db: Link) -> bool:
    """Say whether every promise of ours is there: somebody may have dropped or changed one."""
    wanted = {("trigger", name) for name in RULES} | {("unique", name) for name in UNIQUE}
    wanted |= {("rule", rule) for rule in RULES.values()}
    wanted |= {(before, after) for before, all_ in MOVES.items() for after in all_}
    return wanted == {tuple(row) for row in db.execute(PROMISES)}
