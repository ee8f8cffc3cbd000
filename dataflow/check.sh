#!/bin/sh
# What `make flex-template` needs: says everything that is missing, and fails if something is. $1: image, $2: template
missing=0
lacks() {
	echo "make flex-template: $1" >&2
	missing=1
}
case "$1" in
	*:latest | "") lacks "IMAGE='$1': a name in a registry with a tag of its own is needed, such as IMAGE=europe-docker.pkg.dev/PROJECT/REPOSITORY/taskreel:0.1.0" ;;
	*/*:*) ;;
	*) lacks "IMAGE=$1: the tag is missing, such as $1:0.1.0; jobs that run go on with the image that they began with" ;;
esac
case "$2" in
	gs://*.json) ;;
	*) lacks "TEMPLATE='$2': a place in a bucket is needed, such as TEMPLATE=gs://BUCKET/templates/taskreel.json" ;;
esac
if ! command -v docker >/dev/null; then
	lacks "docker is not there; it builds and pushes the image"
elif ! docker version >/dev/null 2>&1; then
	lacks "docker is there, but its daemon does not answer (docker version)"
fi
command -v gcloud >/dev/null || lacks "gcloud is not there; it writes the template (Google Cloud CLI)"
exit $missing
