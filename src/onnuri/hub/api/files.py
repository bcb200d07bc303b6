"""Files of a revision: folders, contents, and what is known of paths."""

from __future__ import annotations

from itertools import islice
from urllib.parse import parse_qs

from sqlalchemy import update
from starlette.responses import Response

from onnuri.hub import repositories, schema
from onnuri.hub.access import check_scanned
from onnuri.hub.api.call import Call, answer, flag, next_page
from onnuri.hub.api.describe import listed, with_last_commits, with_scans
from onnuri.hub.api.repos import REPO
from onnuri.hub.api.router import Route
from onnuri.hub.api.send import disposition, send_content
from onnuri.hub.commits import file_at
from onnuri.hub.errors import HubError, bad_request, no_entry
from onnuri.hub.git import FOLDER, LARGE, Entry
from onnuri.hub.names import clean_path
from onnuri.hub.records import Repository

PAGE, EXPANDED_PAGE, MOST_PATHS = 1000, 50, 1000


def tree(call: Call) -> Response:
    """GET /api/T/NAME/tree/REV[/PATH]."""
    expand = flag(call.query("expand"))
    size = EXPANDED_PAGE if expand else PAGE
    given = call.query("limit")
    if given.isdecimal() and len(given) < 10:
        size = max(1, min(size, int(given)))
    start = int(call.query("cursor", "0")) if call.query("cursor", "0").isdecimal() else 0
    path = _path(call.names["path"]) if call.names.get("path") else ""
    with call.hub.database.reading() as connection:
        repository = call.readable(connection)
        revision = repositories.resolve(connection, repository.id, call.names["revision"])
        entry = call.hub.trees.find(connection, repository.id, revision.tree, path)
        if entry is None or entry.kind != FOLDER:
            raise no_entry(path, revision.commit)
        walk = call.hub.trees.walk(
            connection, repository.id, entry.oid, path, recursive=flag(call.query("recursive"))
        )
        files = list(islice(walk, start, start + size + 1))
        more = len(files) > size
        found = [listed(*each) for each in files[:size]]
        if expand:
            found = with_last_commits(call, connection, repository.id, revision.commit, found)
            found = with_scans(connection, repository.id, files, found)
    headers = {"X-Repo-Commit": revision.commit}
    return answer(found, headers=headers | (next_page(call, cursor=str(start + size)) if more else {}))


def paths_info(call: Call) -> Response:
    """POST /api/T/NAME/paths-info/REV, with a form as its body, or JSON; paths that are not there are left
    out."""
    if "json" in call.request.headers.get("content-type", ""):
        body = call.json()
        paths, expand = body.get("paths", []), bool(body.get("expand"))
    else:
        try:
            form = parse_qs(call.body.decode(), max_num_fields=MOST_PATHS + 10)
        except ValueError:
            raise bad_request(f"the body is a form with {MOST_PATHS} paths at most") from None
        paths, expand = form.get("paths", []), flag(form.get("expand", [""])[0])
    if not isinstance(paths, list) or len(paths) > MOST_PATHS:
        raise bad_request(f"paths is a list of {MOST_PATHS} at most")
    with call.hub.database.reading() as connection:
        repository = call.readable(connection)
        revision = repositories.resolve(connection, repository.id, call.names["revision"])
        files: list[tuple[str, Entry]] = []
        for path in paths:
            clean = clean_path(str(path).strip("/")) if str(path).strip("/") else ""
            entry = call.hub.trees.find(connection, repository.id, revision.tree, clean)
            if entry and clean:
                files.append((clean, entry))
        found = [listed(*each) for each in files]
        if expand:
            found = with_last_commits(call, connection, repository.id, revision.commit, found)
            found = with_scans(connection, repository.id, files, found)
    return answer(found)


def resolve(call: Call) -> Response:
    """GET /[datasets/]NAME/resolve/REV/PATH: a file."""
    hub = call.hub
    with hub.database.reading() as connection:
        repository = call.readable(connection)
        path = _path(call.names["path"])
        commit, entry = file_at(connection, hub.trees, repository.id, call.names["revision"], path)
        if call.request.method == "GET":
            check_scanned(connection, call.caller, repository, entry.sha256, path)
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{entry.etag}"',
        "Content-Disposition": disposition(path),
        "Cache-Control": "private, no-store"
        if repository.private or repository.gated
        else "private, no-cache",
        "Vary": "Authorization, Cookie",
    }
    if entry.kind == LARGE:
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    if call.request.method == "GET":
        _count(call, repository, path, commit, entry.size)
    return send_content(call, entry.sha256, entry.size, headers)


def _path(given: str) -> str:
    """A path that is asked for. Raises HubError 404 for one that no file here can have."""
    try:
        return clean_path(given)
    except HubError:
        raise no_entry(given[:200]) from None


def _count(call: Call, repository: Repository, path: str, commit: str, size: int) -> None:
    """A download, in the audit of what is not open to all; counted where the client says that it is one."""
    if repository.private or repository.gated:
        facts = {"path": path, "commit": commit, "range": call.request.headers.get("range", "")[:64]}
        call.record(
            "download", False, repository=repository.full_name, uid=repository.uid, size=size, **facts
        )
    if call.request.headers.get("x-hf-download-counter"):
        table = schema.repositories
        with call.hub.database.writing() as connection:
            connection.execute(
                update(table).where(table.c.id == repository.id).values(downloads=table.c.downloads + 1)
            )


def resolve_model(call: Call) -> Response:
    """The same for a model, whose address has no type."""
    call.names["type"] = "models"
    return resolve(call)


def resolve_dataset(call: Call) -> Response:
    """The same for a dataset."""
    call.names["type"] = "datasets"
    return resolve(call)


ROUTES = [
    Route("GET", f"{REPO}/tree/{{revision}}", tree),
    Route("GET", f"{REPO}/tree/{{revision}}/{{path*}}", tree),
    Route("POST", f"{REPO}/paths-info/{{revision}}", paths_info),
    Route("GET", "/datasets/{namespace}/{name}/resolve/{revision}/{path*}", resolve_dataset),
    Route("GET", "/{namespace}/{name}/resolve/{revision}/{path*}", resolve_model),
]
