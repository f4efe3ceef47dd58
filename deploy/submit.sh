#!/usr/bin/env bash
# Run a pipeline file on a Ray cluster:  deploy/submit.sh FILE.toml|NAME [--set KEY=VALUE ...]
# RAY_API_SERVER_ADDRESS: the job server (default http://127.0.0.1:8265).  RAY: the ray command (default: ray).
# A cluster that asks for a token gets the one of RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
# Waits, shows the log, and exits with 0 when all is well and 1 when a job failed. Run it again to go on with what is left.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n 2,5p "$0" | cut -c3- >&2
    exit 2
fi
pipeline=$1
shift
export RAY_API_SERVER_ADDRESS=${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}

folder=()
if [ -f "$pipeline" ]; then # the file, and what lies beside it, goes along; the node runs it from its copy
    folder=(--working-dir "$(dirname "$pipeline")")
    pipeline=$(basename "$pipeline")
fi
if [ -n "${RAY_AUTH_TOKEN:-}${RAY_AUTH_TOKEN_PATH:-}" ] || [ -s "$HOME/.ray/auth_token" ]; then
    export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token} # ray job submit sends none unless told to
fi
exec "${RAY:-ray}" job submit "${folder[@]}" --entrypoint-num-cpus 1 -- \
    python -m pipelines.run "$pipeline" --set engine.name=ray --set engine.ray.address=auto "$@"
