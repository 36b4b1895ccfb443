"""The read model: what the journal tells of orders, trades and money, in tables to search."""

from alembic import op

revision = "0005"
down_revision = "0004"

# A schema of its own: a rebuild makes another one beside it, with tables like these, and the two
# change names. So nothing here refers to a table outside, and what is here can always be dropped.
# Prices, quantities and amounts are exact decimals with the digits of their instrument or asset.
SCHEMA = """
CREATE SCHEMA read_model;

-- Up to which record of the journal the tables are true; moved in the transaction that makes it so.
-- `checksum` is the record's: it tells this journal from another one.
CREATE TABLE read_model.position (
    is_only         boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version         integer NOT NULL,
    seq             bigint NOT NULL,
    happened_at_ns  bigint NOT NULL,
    checksum        bigint NOT NULL
);
INSERT INTO read_model.position (version, seq, happened_at_ns, checksum) VALUES (0, 0, 0, 0);

CREATE TABLE read_model.assets (
    asset_id  integer PRIMARY KEY,
    symbol    text NOT NULL,
    decimals  integer NOT NULL
);

CREATE TABLE read_model.instruments (
    instrument_id  integer PRIMARY KEY,
    symbol         text NOT NULL,
    definition     jsonb NOT NULL
);

CREATE TABLE read_model.accounts (
    account_id  integer PRIMARY KEY,
    firm_id     integer NOT NULL,
    name        text NOT NULL
);

-- One row an order, as it stands; of a refused one, as it was refused. `order_id` is the record
-- that entered or refused it. Codes are those of FIX.
CREATE TABLE read_model.orders (
    order_id       bigint PRIMARY KEY,
    account_id     integer NOT NULL,
    session_id     integer NOT NULL,
    symbol         text NOT NULL,
    cl_ord_id      text NOT NULL,
    side           text NOT NULL,
    ord_type       text NOT NULL,
    time_in_force  text NOT NULL,
    price          numeric,
    order_qty      numeric NOT NULL,
    leaves_qty     numeric NOT NULL,
    cum_qty        numeric NOT NULL,
    avg_px         numeric NOT NULL,
    ord_status     text NOT NULL,
    reason         text,
    text           text,
    terms          jsonb,
    entered_at     timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    last_seq       bigint NOT NULL
);
CREATE INDEX orders_by_account ON read_model.orders (account_id, order_id);
CREATE INDEX orders_open ON read_model.orders (order_id) WHERE leaves_qty > 0;
CREATE INDEX orders_by_time ON read_model.orders (entered_at);

-- Everything that happened to an order, in the words of its report; `refusal` says more of a no.
-- `exec_type` is null for what is no ExecutionReport(8): a refused cancel.
CREATE TABLE read_model.order_events (
    seq          bigint NOT NULL,
    event_index  integer NOT NULL,
    happened_at  timestamptz NOT NULL,
    kind         text NOT NULL,
    order_id     bigint,
    account_id   integer NOT NULL,
    symbol       text,
    cl_ord_id    text NOT NULL,
    exec_type    text,
    report       jsonb NOT NULL,
    refusal      jsonb,
    PRIMARY KEY (seq, event_index)
);
CREATE INDEX order_events_by_order ON read_model.order_events (order_id, seq, event_index);
CREATE INDEX order_events_by_account ON read_model.order_events (account_id, seq, event_index);
CREATE INDEX order_events_by_cl_ord_id ON read_model.order_events (cl_ord_id);
CREATE INDEX order_events_by_time ON read_model.order_events (happened_at);

-- One row a match.
CREATE TABLE read_model.trades (
    trade_id         bigint PRIMARY KEY,
    seq              bigint NOT NULL,
    happened_at      timestamptz NOT NULL,
    symbol           text NOT NULL,
    price            numeric NOT NULL,
    qty              numeric NOT NULL,
    notional         numeric NOT NULL,
    -- Of the order that came in: 1 buy, 2 sell.
    aggressor_side   text,
    buy_order_id     bigint NOT NULL,
    buy_account_id   integer NOT NULL,
    -- What the account paid, below 0 for what it was paid; null assets where no fees are set.
    buy_fee          numeric NOT NULL,
    buy_fee_asset    text,
    sell_order_id    bigint NOT NULL,
    sell_account_id  integer NOT NULL,
    sell_fee         numeric NOT NULL,
    sell_fee_asset   text
);
CREATE INDEX trades_by_buyer ON read_model.trades (buy_account_id, trade_id);
CREATE INDEX trades_by_seller ON read_model.trades (sell_account_id, trade_id);
CREATE INDEX trades_by_time ON read_model.trades (happened_at);

-- Double entry: the entries of a record sum to zero for each asset. Accounts of 0 and below are the
-- venue's own (engine/ledger.py).
CREATE TABLE read_model.ledger_entries (
    seq            bigint NOT NULL,
    event_index    integer NOT NULL,
    posting_index  integer NOT NULL,
    happened_at    timestamptz NOT NULL,
    account_id     integer NOT NULL,
    asset          text NOT NULL,
    amount         numeric NOT NULL,
    balance        numeric NOT NULL,
    kind           text NOT NULL,
    reference      text NOT NULL,
    order_id       bigint,
    PRIMARY KEY (seq, event_index, posting_index)
);
CREATE INDEX ledger_entries_by_account
    ON read_model.ledger_entries (account_id, seq, event_index, posting_index);

CREATE TABLE read_model.balances (
    account_id  integer NOT NULL,
    asset_id    integer NOT NULL,
    asset       text NOT NULL,
    balance     numeric NOT NULL,
    last_seq    bigint NOT NULL,
    PRIMARY KEY (account_id, asset_id)
);
"""


def upgrade() -> None:
    """Create the read model, empty: the projector fills it from the journal's first record on."""
    op.execute(SCHEMA)
