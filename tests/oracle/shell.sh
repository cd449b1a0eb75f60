# A bash workload: redirections, pipes, subshells, links, failures, a TCP connection.
port=$1
set -u
echo start > out
cat data link/file > both
{ sort -r data; cat nowhere; } >> out 2>&1
cat < data | tr a-z A-Z | sort > upper
(cd directory/below && cat ../../data ./file > here && exec 7< ../below/file && cat <&7 > /dev/null)
nosuchcommand 2> /dev/null
/no/such/program 2> /dev/null
./data 2> /dev/null
printf '#!/bin/sh\ncat data\n' > script
chmod +x script
./script > from-script
find . -name 'f*' -exec cat {} + > found
ls -l link/ directory > list
while read -r line; do echo "$line" > "line-${line%% *}"; done < data
exec 3<> /dev/tcp/127.0.0.1/"$port"
exec 3>&-
cat <<END > here
$(cat data)
END
ln -s ../data directory/to-data
cat directory/to-data /proc/self/comm > last
rm -r directory
true
