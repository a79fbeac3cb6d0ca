-- The ledger's own database beside Prefect's; the tables in it are made by the first worker.
CREATE DATABASE secondunit;
