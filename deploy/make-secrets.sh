#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml at random. What is there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -e "secrets/$1" ] || printf '%s\n' "$2" > "secrets/$1"; }
make postgres_password "$(random)"
make grafana_password "$(random)"
make redis_conf "requirepass $(random)"
make mqtt_publisher_password "$(random)"
make mqtt_subscriber_password "$(random)"
make wcx_database_url "postgresql://wcx:$(cat secrets/postgres_password)@postgres/wcx"
make wcx_redis_url "redis://:$(cut -d' ' -f2 secrets/redis_conf)@redis:6379/0"
make wcx_mqtt_url "mqtt://publisher:$(cat secrets/mqtt_publisher_password)@mqtt:1883"
# Mosquitto wants hashes: PBKDF2 of SHA-512, as mosquitto_passwd makes them.
[ -e secrets/mqtt_passwords ] || python3 - > secrets/mqtt_passwords <<'PYTHON'
import base64, hashlib, os
for user in ("publisher", "subscriber"):
    password = open(f"secrets/mqtt_{user}_password", "rb").read().strip()
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password, salt, 101)
    print(f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}")
PYTHON
# Containers run as users of their own and are handed single files; nobody else gets into the directory.
chmod 0700 secrets
chmod 0644 secrets/*
echo "secrets are in $(pwd)/secrets"
