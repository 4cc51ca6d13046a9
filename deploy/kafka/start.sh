#!/bin/bash
# Starts Kafka in its container: formats the empty volume once, then runs the broker.
# The image's own start script writes its configuration into /opt/kafka, which is read-only here.
set -euo pipefail

properties=/etc/daybook/server.properties
# Garbage collector and server logs: the container's own log has what matters.
export LOG_DIR=/tmp/kafka-logs
mkdir -p "$LOG_DIR"

if [ ! -e /var/lib/kafka/data/meta.properties ]; then
    /opt/kafka/bin/kafka-storage.sh format --standalone --cluster-id "$CLUSTER_ID" --config "$properties"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$properties"
