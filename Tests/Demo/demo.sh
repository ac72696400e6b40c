#!/bin/bash
# Shows mlmirror at work on two real MLflow servers. Usually through `make demo`.
#
#   BIN=path/to/mlmirror Tests/Demo/demo.sh [--exit]
#
# Everything it makes is in .demo/, new every time. On a terminal the servers stay up until Ctrl-C, so that their
# web pages can be looked at; --exit ends at once. Fails with the exit code of whatever failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${BIN:?the path of the built mlmirror (make demo sets it)}"
python=.venv/mlflow3/bin/python
support=Tests/Support/python
stay=true
[ "${1:-}" != --exit ] || stay=false
[ -t 0 ] && [ -t 1 ] || stay=false

[ -x "$BIN" ] || { echo "demo: $BIN is not there; build it first (make demo does)" >&2; exit 1; }
[ -x "$python" ] || { echo "demo: $python is not there; run .ci/setup first (make demo does)" >&2; exit 1; }
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

servers=()
end() {
    local code=$?
    trap - EXIT INT TERM
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    exit $code
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

rm -rf .demo
mkdir -p .demo

start_server() {
    "$python" $support/servers.py ".demo/$1" >".demo/$1.json" 2>".demo/$1.error" &
    servers+=($!)
}
# Prints the URI once the server answers.
uri_of() {
    local pid=$1 name=$2
    until [ -s ".demo/$name.json" ]; do
        kill -0 "$pid" 2>/dev/null || { cat ".demo/$name.error" >&2; return 1; }
        sleep 0.2
    done
    sed -E 's/.*"uri": "([^"]+)".*/\1/' ".demo/$name.json"
}
mirror() {
    echo "\$ mlmirror $1 --primary $primary --secondary $secondary --state .demo/state.db"
    "$BIN" "$1" --primary "$primary" --secondary "$secondary" --state .demo/state.db
}

title "1. Two MLflow servers start"
start_server primary
start_server secondary
primary=$(uri_of "${servers[0]}" primary)
secondary=$(uri_of "${servers[1]}" secondary)
echo "primary   $primary"
echo "secondary $secondary"

title "2. Somebody works on the primary: training curves, nested sweeps, models with versions and aliases"
"$python" $support/workload.py "$primary" --size demo

title "3. mlmirror copies everything, while another run is being logged"
"$python" $support/workload.py "$primary" --size tiny --name live/ >.demo/writer.log 2>&1 &
writer=$!
mirror backfill
wait $writer || { code=$?; cat .demo/writer.log >&2; exit $code; }

title "4. From now on mlmirror follows: a daemon, while somebody goes on working"
database="sqlite:///$PWD/.demo/primary/mlflow.db"
echo "\$ mlmirror feed install --database sqlite:///.../.demo/primary/mlflow.db"
"$BIN" feed install --database "$database"
echo "\$ mlmirror run --primary $primary --secondary $secondary --state .demo/state.db --primary-database sqlite:///... &"
"$BIN" run --primary "$primary" --secondary "$secondary" --state .demo/state.db --primary-database "$database" >.demo/daemon.log 2>&1 &
daemon=$!
servers+=($daemon)
"$python" $support/workload.py "$primary" --size tiny --name later/
began=$SECONDS
until "$BIN" status --state .demo/state.db --json 2>/dev/null | grep -q '"lag":{"changes":0'; do
    kill -0 $daemon 2>/dev/null && [ $((SECONDS - began)) -lt 120 ] || { cat .demo/daemon.log >&2; exit 1; }
    sleep 0.2
done
echo "\$ mlmirror status --state .demo/state.db"
"$BIN" status --state .demo/state.db
kill -TERM $daemon
wait $daemon

title "5. Both sides are compared, field by field"
mirror verify

title "6. And once more by MLflow's own Python client, which knows nothing of mlmirror"
"$python" $support/judge.py "$primary" "$secondary"
"$python" $support/load_models.py "$primary" "$secondary" churn

title "Look around"
"$python" - "$primary" "$secondary" <<'PYTHON'
import os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
here, there = (mlflow.MlflowClient(uri, uri) for uri in sys.argv[1:])
for name in ("churn/training", "churn/sweep", "vision/defects"):
    a, b = here.get_experiment_by_name(name), there.get_experiment_by_name(name)
    print(f"{name}\n    {sys.argv[1]}/#/experiments/{a.experiment_id}\n    {sys.argv[2]}/#/experiments/{b.experiment_id}")
run = here.search_runs([here.get_experiment_by_name("churn/sweep").experiment_id], "attributes.run_name = 'sweep'")[0]
copy = there.search_runs(
    [there.get_experiment_by_name("churn/sweep").experiment_id],
    f"tags.`mlmirror.primary.run_id` = '{run.info.run_id}'",
)[0]
print(f"the run 'sweep' is {run.info.run_id} on the primary and {copy.info.run_id} on the secondary")
PYTHON
echo "state file: .demo/state.db; the daemon's log: .demo/daemon.log; servers' logs: .demo/primary/server.log, .demo/secondary/server.log"

if $stay; then
    title "The servers stay up until Ctrl-C"
    trap 'exit 0' INT
    wait "${servers[@]}"
fi
