export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.email a@b.c; git config --global user.name me; git config --global init.defaultBranch main
git init -q repo && cd repo || exit 1
for i in $(seq 50); do echo "line $i" > f$i; done
git add . && git commit -qm first && git rev-parse HEAD
git checkout -qb side; echo more >> f1; git commit -qam second; git checkout -q main; echo other >> f2; git commit -qam third
git merge -q --no-edit side && git log --oneline --graph | cat; git diff HEAD~1 --stat | cat
cd ..; git clone -q "file://$PWD/repo" clone && cd clone && git log --format=%s | cat; git status --short; git fsck 2>/dev/null; git gc -q; git count-objects -v | grep in-pack
git stash list; git tag v1; git archive v1 | tar t | wc -l; git grep -c 'line 4' | head -3; git blame -s f1 | head -1
