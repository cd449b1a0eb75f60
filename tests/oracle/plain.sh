# A workload for the system's plain shell, which looks for commands by trying to execute them.
cat data > copy
for name in a b c; do echo "$name" > "$name" && mv "$name" "moved-$name"; done
env LC_ALL=C date > /dev/null
nosuchcommand 2> /dev/null
sh -c 'sh -c "cat link/file; exit 3"; cat nowhere' > nested 2>&1
echo data copy | xargs -n 1 cat > joined
sed -n 1p data | head -n 1 | cat > first
awk '{ sum += $2 } END { print sum > "total" }' data
cd link && cat file ../../data > ../../across
exit 0
