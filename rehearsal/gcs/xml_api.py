"""The XML API, as object_store and so Delta use it.

Rules from the docs "Cloud Storage XML API" and "XML API multipart uploads".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from taskreel.rehearsal.gcs.messages import (
    BUCKET,
    FIELD_HEADERS,
    Request,
    Response,
    Routes,
    claimed_hashes,
    media,
    object_headers,
    version_headers,
)
from taskreel.rehearsal.gcs.objects import Content, GcsError, MultipartUpload, Preconditions, Store, StoredObject

routes = Routes()

BUCKET_PATH = f"/{BUCKET}/?"
OBJECT_PATH = f"/{BUCKET}/(?P<name>.+)"


def answer(store: Store, request: Request) -> Response:
    try:
        return routes.answer(store, request)
    except GcsError as error:
        return error_response(error)


def element(name: str, *content: object) -> str:
    """An XML element of text and of further elements (those are the strings which `element` returned)."""
    return f"<{name}>{''.join(map(str, content))}</{name}>"


def xml_response(root: str, *content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    document = f"<?xml version='1.0' encoding='UTF-8'?>{element(root, *content)}"
    kind = {"Content-Type": "application/xml; charset=UTF-8"}
    return Response(status, kind | dict(headers or {}), document.encode())


def error_response(error: GcsError) -> Response:
    if error.status == 304:
        return Response(304)
    code, message = element("Code", error.code), element("Message", escape(error.message))
    return xml_response("Error", code, message, status=error.status)


def conditions(request: Request) -> Preconditions:
    return Preconditions.from_headers(request.headers)


def written(stored: StoredObject) -> Response:
    """The empty answer to a PUT, which names the new generation in its headers."""
    return Response(200, version_headers(stored))


def upload_fields(request: Request) -> dict[str, object]:
    """The metadata which come as headers; custom ones are prefixed "x-goog-meta-"."""
    prefix = "x-goog-meta-"
    headers = request.headers
    custom = {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
    named = {"contentType": "Content-Type"} | FIELD_HEADERS
    fields = {field: headers[header.lower()] for field, header in named.items() if header.lower() in headers}
    return fields | ({"metadata": custom} if custom else {})


@routes.add("GET", BUCKET_PATH)
def list_objects(store: Store, request: Request, bucket: str) -> Response:
    """See "GET Bucket (List Objects)", version 2: `start-after` is exclusive, and the token is opaque."""
    query = request.query
    token = base64.urlsafe_b64decode(query.get("continuation-token", "")).decode()
    page = store.bucket(bucket).list(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=max(token, query.get("start-after", "")),
        limit=min(1000, int(query.get("max-keys", 1000))),
    )
    content = [element("Name", bucket), element("Prefix", escape(query.get("prefix", "")))]
    content += [list_entry(stored) for stored in page.objects]
    content += [element("CommonPrefixes", element("Prefix", escape(prefix))) for prefix in page.prefixes]
    content += [element("KeyCount", len(page.objects) + len(page.prefixes))]
    content += [element("IsTruncated", str(page.resume_after is not None).lower())]
    if page.resume_after is not None:
        next_token = base64.urlsafe_b64encode(page.resume_after.encode()).decode()
        content.append(element("NextContinuationToken", next_token))
    return xml_response("ListBucketResult", *content)


def list_entry(stored: StoredObject) -> str:
    return element(
        "Contents",
        element("Key", escape(stored.name)),
        element("Generation", stored.generation),
        element("MetaGeneration", stored.metageneration),
        element("LastModified", stored.updated.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        element("ETag", f'"{stored.etag}"'),
        element("Size", len(stored.data)),
    )


@routes.add("PUT", BUCKET_PATH)
def create_bucket(store: Store, request: Request, bucket: str) -> Response:
    store.create_bucket(bucket)
    return Response(200)


@routes.add("GET", OBJECT_PATH)
@routes.add("HEAD", OBJECT_PATH)
def get_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    """See "GET Object" and "HEAD Object"; the server leaves the body out of the answer to a HEAD."""
    stored = store.bucket(bucket).get(name, request.generation, conditions(request))
    if request.headers.get("if-none-match") == f'"{stored.etag}"':
        return Response(304, object_headers(stored))
    if request.headers.get("if-match") not in (None, "*", f'"{stored.etag}"'):
        raise GcsError(412, "PreconditionFailed", "The ETag is another one.")
    return media(stored, request.headers.get("range"))


@routes.add("PUT", OBJECT_PATH)
def put_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    """See "PUT Object": content, a part of a multipart upload, or with `x-goog-copy-source` a copy."""
    if "uploadId" in request.query:
        return put_part(store, request)
    if "x-goog-copy-source" in request.headers:
        return copy_object(store, request, bucket, name)
    content = Content(request.body)
    content.check(claimed_hashes(request.headers))
    return written(store.bucket(bucket).put(name, content, upload_fields(request), conditions(request)))


def copy_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    source_bucket, _, source_name = unquote(request.headers["x-goog-copy-source"]).lstrip("/").partition("/")
    source = store.bucket(source_bucket).get(source_name)
    Preconditions.from_headers(request.headers, "x-goog-copy-source-if-").check(source)
    stored = store.bucket(bucket).put(name, source.content, source.fields, conditions(request))
    etag = element("ETag", f'"{stored.etag}"')
    return xml_response("CopyObjectResult", etag, headers=version_headers(stored))


@routes.add("DELETE", OBJECT_PATH)
def delete_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    """See "DELETE Object", or with `uploadId` the end of a multipart upload without an object."""
    if "uploadId" in request.query:
        store.forget(request.query["uploadId"])
    else:
        store.bucket(bucket).delete(name, request.generation, conditions(request))
    return Response(204)


@routes.add("POST", OBJECT_PATH)
def post_object(store: Store, request: Request, bucket: str, name: str) -> Response:
    """The begin (`?uploads`) and the completion (`?uploadId=`) of a multipart upload."""
    if "uploads" in request.query:
        upload_id = store.begin(MultipartUpload(store.bucket(bucket), name, upload_fields(request)))
        where = element("Bucket", bucket), element("Key", escape(name))
        return xml_response("InitiateMultipartUploadResult", *where, element("UploadId", upload_id))
    return complete_upload(store, request, bucket, name)


def put_part(store: Store, request: Request) -> Response:
    upload: MultipartUpload = store.upload(request.query["uploadId"], MultipartUpload)
    number = int(request.query["partNumber"])
    content = Content(request.body)
    content.check(claimed_hashes(request.headers))
    upload.parts[number] = request.body
    return Response(200, {"ETag": f'"part-{number}-{content.crc32c}"'})


def complete_upload(store: Store, request: Request, bucket: str, name: str) -> Response:
    upload_id = request.query.get("uploadId", "")
    upload: MultipartUpload = store.upload(upload_id, MultipartUpload)
    root = ElementTree.fromstring(request.body)
    numbers = [int(found.text or 0) for found in root.iterfind(".//{*}PartNumber")]
    stored = upload.finish(numbers, conditions(request))
    store.forget(upload_id)
    where = element("Bucket", bucket), element("Key", escape(name))
    etag = element("ETag", f'"{stored.etag}"')
    return xml_response("CompleteMultipartUploadResult", *where, etag, headers=version_headers(stored))
