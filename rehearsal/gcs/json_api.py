"""The JSON API (docs: "Cloud Storage JSON API", "Uploads and downloads", "Batch requests")."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import quote, urlsplit

from taskreel.rehearsal.gcs.messages import (
    BUCKET,
    Request,
    Response,
    Routes,
    claimed_hashes,
    lower_case,
    media,
    wire_head,
)
from taskreel.rehearsal.gcs.objects import (
    Bucket,
    Content,
    GcsError,
    Page,
    Preconditions,
    ResumableUpload,
    Store,
    StoredObject,
)

routes = Routes()

BUCKETS_PATH = "/storage/v1/b"
BUCKET_PATH = f"{BUCKETS_PATH}/{BUCKET}"
OBJECTS_PATH = f"{BUCKET_PATH}/o"
OBJECT_PATH = f"{OBJECTS_PATH}/(?P<name>[^/]+)"
UPLOAD_PATH = f"(/resumable)?/upload{OBJECTS_PATH}"
PATH_STARTS = ("/storage/v1/", "/download/storage/v1/", "/upload/", "/resumable/", "/batch")
COPY_TARGET = "b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)"

REASONS = {304: "notModified", 400: "invalid", 404: "notFound", 409: "conflict", 412: "conditionNotMet"}
WRITABLE_FIELDS = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
)


def answer(store: Store, request: Request) -> Response:
    try:
        return routes.answer(store, request)
    except GcsError as error:
        return error_response(error)


def json_response(value: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    body = json.dumps(value).encode()
    return Response(status, {"Content-Type": "application/json; charset=UTF-8"} | headers, body)


def error_response(error: GcsError) -> Response:
    if error.status == 304:
        return Response(304)
    detail = {"domain": "global", "reason": REASONS.get(error.status, "invalid"), "message": error.message}
    return json_response({"error": {"code": error.status, "message": error.message, "errors": [detail]}}, error.status)


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bucket_resource(bucket: Bucket) -> dict[str, Any]:
    """See "Buckets: resource representations", the fields which never vary here included."""
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "projectNumber": "1",
        "metageneration": "1",
        "location": "US",
        "storageClass": "STANDARD",
        "etag": "CAE=",
        "timeCreated": timestamp(bucket.created),
        "updated": timestamp(bucket.created),
    }


def object_resource(stored: StoredObject, base_url: str) -> dict[str, Any]:
    """See "Objects: resource representations"; 64-bit numbers are strings."""
    path = f"/storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
    resource = {
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.name}/{stored.generation}",
        "selfLink": base_url + path,
        "mediaLink": f"{base_url}/download{path}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": stored.bucket,
        "generation": str(stored.generation),
        "metageneration": str(stored.metageneration),
        "storageClass": "STANDARD",
        "size": str(len(stored.data)),
        "crc32c": stored.content.crc32c,
        "etag": stored.etag,
        "timeCreated": timestamp(stored.created),
        "updated": timestamp(stored.updated),
        "timeStorageClassUpdated": timestamp(stored.created),
    }
    if stored.content.md5:
        resource["md5Hash"] = stored.content.md5
    return resource | {"contentType": stored.content_type} | dict(stored.fields)


def object_response(stored: StoredObject, request: Request) -> Response:
    return json_response(object_resource(stored, request.base_url))


def parse_json(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise GcsError(400, "InvalidArgument", f"Parse Error: {error}") from error


def writable(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {key: resource[key] for key in WRITABLE_FIELDS if resource.get(key) is not None}


# Buckets ---------------------------------------------------------------------------------------------------


@routes.add("GET", BUCKETS_PATH)
def list_buckets(store: Store, request: Request) -> Response:
    prefix = request.query.get("prefix", "")
    items = [bucket_resource(bucket) for bucket in store.buckets() if bucket.name.startswith(prefix)]
    return json_response({"kind": "storage#buckets", "items": items})


@routes.add("POST", BUCKETS_PATH)
def insert_bucket(store: Store, request: Request) -> Response:
    return json_response(bucket_resource(store.create_bucket(parse_json(request.body)["name"])))


@routes.add("GET", BUCKET_PATH)
def get_bucket(store: Store, request: Request, bucket: str) -> Response:
    return json_response(bucket_resource(store.bucket(bucket)))


@routes.add("DELETE", BUCKET_PATH)
def delete_bucket(store: Store, request: Request, bucket: str) -> Response:
    store.delete_bucket(bucket)
    return Response(204)


# Objects ---------------------------------------------------------------------------------------------------


@routes.add("GET", OBJECTS_PATH)
def list_objects(store: Store, request: Request, bucket: str) -> Response:
    """See "Objects: list"; `fields` and the like are ignored."""
    query = request.query
    page = store.bucket(bucket).list(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        start=query.get("startOffset", ""),
        end=query.get("endOffset", ""),
        after=base64.urlsafe_b64decode(query.get("pageToken", "")).decode(),
        limit=min(1000, int(query.get("maxResults", 1000))),
        glob=query.get("matchGlob", ""),
    )
    return json_response(listing(page, request.base_url))


def listing(page: Page, base_url: str) -> dict[str, Any]:
    result: dict[str, Any] = {"kind": "storage#objects"}
    if page.objects:
        result["items"] = [object_resource(stored, base_url) for stored in page.objects]
    if page.prefixes:
        result["prefixes"] = page.prefixes
    if page.resume_after is not None:
        result["nextPageToken"] = base64.urlsafe_b64encode(page.resume_after.encode()).decode()
    return result


@routes.add("GET", f"(/download)?{OBJECT_PATH}")
def get_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    stored = store.bucket(bucket).get(name, request.generation, request.conditions)
    if request.query.get("alt") == "media":
        return media(stored, request.headers.get("range"))
    return object_response(stored, request)


@routes.add("DELETE", OBJECT_PATH)
def delete_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    store.bucket(bucket).delete(name, request.generation, request.conditions)
    return Response(204)


@routes.add("PUT", OBJECT_PATH)
@routes.add("PATCH", OBJECT_PATH)
def patch_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    fields = writable(parse_json(request.body))
    return object_response(store.bucket(bucket).patch(name, fields, request.conditions), request)


@routes.add("POST", f"{OBJECT_PATH}/rewriteTo/{COPY_TARGET}")
def rewrite_object(store: Store, request: Request, bucket: str, name: str, to_bucket: str, to_name: str) -> Response:
    """See "Objects: rewrite", always done in one call."""
    resource = object_resource(copy(store, request, bucket, name, to_bucket, to_name), request.base_url)
    size = resource["size"]
    done = {"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": resource}
    return json_response({"kind": "storage#rewriteResponse"} | done)


@routes.add("POST", f"{OBJECT_PATH}/copyTo/{COPY_TARGET}")
def copy_object(store: Store, request: Request, bucket: str, name: str, to_bucket: str, to_name: str) -> Response:
    return object_response(copy(store, request, bucket, name, to_bucket, to_name), request)


def copy(store: Store, request: Request, bucket: str, name: str, to_bucket: str, to_name: str) -> StoredObject:
    """A new generation with the same bytes; metadata in the request replace those of the source."""
    generation = request.query.get("sourceGeneration")
    source = store.bucket(bucket).get(name, int(generation) if generation else None)
    Preconditions.from_query(request.query, "ifSource").check(source)
    fields = writable(parse_json(request.body)) or source.fields
    return store.bucket(to_bucket).put(to_name, source.content, fields, request.conditions)


@routes.add("POST", f"{OBJECT_PATH}/compose")
def compose_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    """See "Objects: compose": the sources' bytes one after the other."""
    body, home = parse_json(request.body), store.bucket(bucket)
    sources = []
    for item in body.get("sourceObjects", []):
        source = home.get(item["name"], item.get("generation") and int(item["generation"]))
        wanted = item.get("objectPreconditions", {}).get("ifGenerationMatch")
        Preconditions(generation_match=None if wanted is None else int(wanted)).check(source)
        sources.append(source.data)
    content = Content(b"".join(sources), composite=True)
    return object_response(home.put(name, content, writable(body.get("destination", {})), request.conditions), request)


# Uploads ---------------------------------------------------------------------------------------------------


@routes.add("POST", UPLOAD_PATH)
def insert_object(store: Store, request: Request, bucket: str) -> Response:
    """See "Objects: insert" in its three ways: media only, metadata with media, or a resumable session."""
    kind = request.query.get("uploadType")
    if "upload_id" in request.query:
        return continue_upload(store, request, bucket)
    if kind == "resumable":
        return begin_upload(store, request, bucket)
    if kind == "multipart":
        resource, content_type, data = related_parts(request)
    else:
        resource, content_type, data = {}, request.headers.get("content-type"), request.body
    content = Content(data)
    content.check(claimed_hashes(request.headers) | metadata_hashes(resource))
    stored = store.bucket(bucket).put(
        object_name(resource, request), content, upload_fields(resource, content_type), request.conditions
    )
    return object_response(stored, request)


def object_name(resource: Mapping[str, Any], request: Request) -> str:
    name = resource.get("name") or request.query.get("name")
    if not name:
        raise GcsError(400, "InvalidArgument", "Required parameter: name")
    return name


def metadata_hashes(resource: Mapping[str, Any]) -> dict[str, str | None]:
    claimed = {"crc32c": resource.get("crc32c"), "md5": resource.get("md5Hash")}
    return {name: value for name, value in claimed.items() if value}


def upload_fields(resource: Mapping[str, Any], content_type: str | None) -> dict[str, Any]:
    """What the resource says, where the content type of the media is the one to fall back to."""
    return ({"contentType": content_type} if content_type else {}) | writable(resource)


def related_parts(request: Request) -> tuple[dict[str, Any], str | None, bytes]:
    """The resource, the media's content type and the media of a multipart/related body (RFC 2387)."""
    header = Message()
    header["content-type"] = request.headers.get("content-type") or ""
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise GcsError(400, "InvalidArgument", "A multipart upload needs a boundary.")
    line = b"--" + boundary.encode()
    body = request.body
    first = body.index(line) + len(line)
    second = body.index(b"\r\n" + line, first)
    end = body.rindex(b"\r\n" + line + b"--")
    resource = split_part(body, first, second)[1]
    head, data = split_part(body, second + 2 + len(line), end)
    return parse_json(resource), message_from_bytes(head).get("content-type"), data


def split_part(body: bytes, start: int, stop: int) -> tuple[bytes, bytes]:
    """The head and the content of the part which begins behind its boundary at `start`."""
    blank = body.index(b"\r\n\r\n", start, stop)
    return body[start:blank].lstrip(), body[blank + 4 : stop]


def begin_upload(store: Store, request: Request, bucket: str) -> Response:
    resource = parse_json(request.body)
    content_type = request.headers.get("x-upload-content-type")
    name, fields = object_name(resource, request), upload_fields(resource, content_type)
    upload = ResumableUpload(store.bucket(bucket), name, fields, request.conditions, claimed=metadata_hashes(resource))
    session = f"{request.base_url}/upload/storage/v1/b/{quote(bucket)}/o?uploadType=resumable&upload_id="
    upload_id = store.begin(upload)
    return Response(200, {"Location": session + upload_id, "X-GUploader-UploadID": upload_id})


@routes.add("PUT", UPLOAD_PATH)
def continue_upload(store: Store, request: Request, bucket: str) -> Response:
    """See "Resumable uploads": a chunk, the last chunk, or (without bytes) the question how far it came."""
    upload: ResumableUpload = store.upload(request.query["upload_id"], ResumableUpload)
    start, total = content_range(request)
    with upload.lock:
        if upload.stored is None:
            if start is not None:
                upload.append(start, request.body)
            if total != len(upload.data):
                return incomplete(upload)
            upload.stored = upload.finish(claimed_hashes(request.headers))
        return object_response(upload.stored, request)


def content_range(request: Request) -> tuple[int | None, int | None]:
    """Where the bytes start (None: there are none) and the size of the whole (None: not known yet)."""
    header = request.headers.get("content-range")
    if header is None:
        return 0, len(request.body)
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", header)
    if not match:
        raise GcsError(400, "InvalidArgument", f"Bad Content-Range: {header}")
    first, total = match.groups()
    return None if first is None else int(first), None if total == "*" else int(total)


def incomplete(upload: ResumableUpload) -> Response:
    """308 with the range stored so far; none at all if there is none."""
    return Response(308, {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {})


@routes.add("DELETE", UPLOAD_PATH)
def cancel_upload(store: Store, request: Request, bucket: str) -> Response:
    store.forget(request.query.get("upload_id", ""))
    return Response(499)


# Batches ---------------------------------------------------------------------------------------------------


@routes.add("POST", "/batch(/storage/v1)?")
def batch(store: Store, request: Request) -> Response:
    """See "Batch requests": a multipart/mixed body of HTTP requests, answered by one of responses."""
    boundary = "batch_of_the_stand_in"
    head = f"Content-Type: {request.headers.get('content-type')}\r\n\r\n".encode()
    parts = []
    for part, inner in inner_requests(message_from_bytes(head + request.body), request.base_url):
        response = answer(store, inner)
        content_id = "response-" + part.get("content-id", "").strip("<>")
        lead = f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <{content_id}>\r\n\r\n"
        parts.append(b"".join((lead.encode(), wire_head(response), response.body, b"\r\n")))
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return Response(200, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, body)


def inner_requests(message: Message, base_url: str) -> Iterator[tuple[Message, Request]]:
    for part in message.walk():
        if part.get_content_type() != "application/http":
            continue
        payload: Any = part.get_payload(decode=True)
        line, _, rest = payload.lstrip().partition(b"\n")
        method, url, *_ = line.decode().split()
        inner: Any = message_from_bytes(rest.replace(b"\r\n", b"\n"))
        address = urlsplit(url)
        target = f"{address.path}?{address.query}" if address.query else address.path
        yield part, Request(method, target, lower_case(inner), inner.get_payload().encode(), base_url)
