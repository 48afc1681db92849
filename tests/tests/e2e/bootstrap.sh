#!/bin/bash
# A function in bash: the payload tells what it does. It speaks the Lambda Runtime API over /dev/tcp.
location=${AWS_LAMBDA_RUNTIME_API#http://}
address=${location%%/*}
api=/${location#*/}/2018-06-01/runtime
request() {
    exec 3<>"/dev/tcp/${address%:*}/${address#*:}" || exit 1
    printf '%s %s HTTP/1.1\r\nHost: runtime\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" "${#3}" "$3" >&3
    response=$(cat <&3)
    exec 3>&-
}
if [ "$FAIL_INIT" ]; then
    request POST $api/init/error '{"errorType":"Config","errorMessage":"not like this"}'
    exit 1
fi
count=0
while request GET $api/invocation/next ''; do
    id=$(grep -i '^lambda-runtime-aws-request-id' <<<"$response" | tr -d '\r' | cut -d' ' -f2)
    payload=${response##*$'\r\n\r\n'}
    count=$((count + 1))
    echo "payload $payload"
    case $payload in
    *crash*) exit 3 ;;
    *hang*) while :; do :; done ;;
    *fail*) request POST "$api/invocation/$id/error" '{"errorType":"Refused","errorMessage":"no"}' ;;
    *) request POST "$api/invocation/$id/response" \
        "{\"count\":$count,\"region\":\"$AWS_REGION\",\"url\":\"$AWS_ENDPOINT_URL\",\"name\":\"$AWS_LAMBDA_FUNCTION_NAME\",\"key\":\"$AWS_ACCESS_KEY_ID\",\"secret\":\"$AWS_SECRET_ACCESS_KEY\",\"token\":\"$AWS_SESSION_TOKEN\",\"setting\":\"$SETTING\"}" ;;
    esac
done
