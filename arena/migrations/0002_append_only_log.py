"""The database itself refuses changes to votes, rulings and slots: they are a log.

Django rebuilds a SQLite table to alter it, and its triggers go with the old one: a later
migration that alters one of these tables must run `refuse_updates` again (a test looks).
"""

from django.db import migrations

LOGS = ("arena_vote", "arena_voteruling", "arena_slot")

SQLITE = """
CREATE TRIGGER IF NOT EXISTS {table}_is_a_log BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is a log: rows are added, never changed'); END
"""
POSTGRESQL = """
CREATE OR REPLACE FUNCTION arena_refuse_update() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is a log: rows are added, never changed', TG_TABLE_NAME
USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE OR REPLACE TRIGGER {table}_is_a_log BEFORE UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION arena_refuse_update();
"""


def refuse_updates(apps, schema_editor):
    statement = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]
    for table in LOGS:
        schema_editor.execute(statement.format(table=table), params=None)


def allow_updates(apps, schema_editor):
    on_table = schema_editor.connection.vendor == "postgresql"
    for table in LOGS:
        schema_editor.execute(f"DROP TRIGGER {table}_is_a_log" + (f" ON {table}" if on_table else ""))


class Migration(migrations.Migration):
    dependencies = [("arena", "0001_first_tables")]

    operations = [migrations.RunPython(refuse_updates, allow_updates)]
