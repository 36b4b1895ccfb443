"""The steps of the schema: one row of them, named so that the newest is known without Alembic."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from store.migrate import MIGRATIONS, newest_revision


def test_steps_form_one_row_named_by_their_files() -> None:
    """What the file names say is what Alembic finds; two steps of one number would be an error."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    names = sorted(path.name[1:5] for path in MIGRATIONS.glob("versions/m*.py"))
    assert [step.revision for step in reversed(steps)] == names
    assert steps[0].revision == newest_revision()
