# poll.sh URL LOG: asks about five times a second and writes a line "TIME ok|no" each time. Ends when
# LOG.stop exists.
while [ ! -e "$2.stop" ]; do
    if [ "$(curl -sf -m 2 "$1" 2>/dev/null)" = "castoff web" ]; then word=ok; else word=no; fi
    echo "$(date +%s.%N) $word"
    sleep 0.2
done >"$2"
