# A git workload: everything a coding agent does in an hour, in two seconds.
set -e

# git reads a file again that is no older than its index, so how often would depend on the moment.
settle() {
    touch -d 2020-01-01 data
    git update-index -q --refresh
}

git init -q -b main project
cd project
cp ../data .
touch -d 2020-01-01 data
git add data
git commit -q -m first
git switch -q -c topic
echo west 950 >> data
touch -d 2020-01-01 data
git commit -q -a -m second
git diff main topic > ../difference
git switch -q main
settle
git merge -q topic
settle
git tag -a -m release v1
git log --oneline --stat > ../log
git stash list
git gc -q
cd ..
git clone -q project clone 2>&1
cd clone
settle
git status --short
git rev-parse no-such-branch 2> /dev/null || true
git grep -n south
