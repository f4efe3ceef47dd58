#!/usr/bin/env bash
# Run a pipeline file on a Ray cluster:  deploy/submit.sh FILE.toml|NAME [--set KEY=VALUE ...]
# RAY_API_SERVER_ADDRESS: the job server (default http://127.0.0.1:8265).  RAY: the ray command (default: ray).
# Waits, shows the log, and exits with 0 when all is well and 1 when a job failed. Run it again to go on with what is left.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n 2,4p "$0" | cut -c3- >&2
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
exec "${RAY:-ray}" job submit "${folder[@]}" --entrypoint-num-cpus 1 -- \
    python -m pipelines.run "$pipeline" --set engine.name=ray --set engine.ray.address=auto "$@"
