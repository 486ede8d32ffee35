"""The statements about files, each a named constant under one line that says what it is for."""

from sqlalchemy import bindparam, exists, insert, literal, null, select, update

from backlane.store.tables import jobs
from backlane.store.tables_wire import job_files, provider_files, uploads

# A file somebody sent in.
INSERT_UPLOAD = insert(uploads)
# One of them, with its bytes if small.
UPLOAD = select(uploads).where(uploads.c.id == bindparam("upload_id"))
# The input files of several jobs, in the shape of artifacts.
FILES_OF = (
    select(
        uploads.c.id,
        uploads.c.workspace,
        job_files.c.job_id,
        null().label("attempt_id"),
        literal("input").label("kind"),
        uploads.c.name,
        uploads.c.media_type,
        uploads.c.bytes,
        uploads.c.sha256,
        uploads.c.created_at,
    )
    .join(job_files, job_files.c.upload_id == uploads.c.id)
    .where(job_files.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(job_files.c.job_id, uploads.c.id)
)
# The newest jobs that use a file.
JOBS_USING = (
    select(job_files.c.job_id)
    .where(job_files.c.upload_id == bindparam("upload_id"))
    .order_by(job_files.c.job_id.desc())
    .limit(200)
)

# Every copy of one content at a provider account.
PROVIDER_FILES = (
    select(provider_files)
    .where(
        provider_files.c.workspace == bindparam("workspace"),
        provider_files.c.provider_account == bindparam("account"),
        provider_files.c.sha256 == bindparam("digest"),
    )
    .order_by(provider_files.c.id)
)
# Change a copy's row that is still where we think it is.
MOVE_PROVIDER_FILE = update(provider_files).where(
    provider_files.c.id == bindparam("at_id"),
    provider_files.c.state.in_(bindparam("sources", expanding=True)),
)
# Whether an open job uses a copy's content.
_IN_USE = exists(
    select(literal(1))
    .select_from(job_files)
    .join(uploads, uploads.c.id == job_files.c.upload_id)
    .join(jobs, jobs.c.id == job_files.c.job_id)
    .where(
        uploads.c.workspace == provider_files.c.workspace,
        uploads.c.sha256 == provider_files.c.sha256,
        jobs.c.finished_at.is_(None),
    )
    .correlate(provider_files)
)
# Copies to be seen to that no open job uses.
IDLE_PROVIDER_FILES = (
    select(provider_files)
    .where(provider_files.c.due_at <= bindparam("now"), ~_IN_USE)
    .order_by(provider_files.c.due_at, provider_files.c.id)
    .limit(bindparam("n"))
)
# Take such a copy out of use, so that no job relies on it any more.
CLAIM_IDLE_FILE = (
    update(provider_files)
    .where(
        provider_files.c.id == bindparam("at_id"), provider_files.c.state == bindparam("at_state"), ~_IN_USE
    )
    .values(state="deleting")
)
