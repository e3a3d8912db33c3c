# gap.sh LOG: for how long the answers stayed away, from the last good one before the first bad one to
# the first good one after the last bad one.
awk '$2 == "ok" { if (!bad) last = $1; else if (!back) back = $1 }
     $2 == "no" { bad = 1; back = 0 }
     END { if (!bad) print "0.0"; else if (!back) print "never back"; else printf "%.1f\n", back - last }' "$1"
