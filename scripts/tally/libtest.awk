# Reads what `cargo test -- --show-output` prints. Prints `skip NAME: WHY` for each test that skipped itself (a line
# `skipped: WHY` on its stderr), then one line `PASSED FAILED SKIPPED`. Ignored tests don't count: they weren't asked for.

/^successes:$/                                { passing = 1; name = "" }
/^failures:$/                                 { passing = 0; name = "" }
/^---- .* (stdout|stderr) ----$/              { name = $2 }
passing && name != "" && /^skipped: /         { print "skip " name ": " substr($0, 10); skipped++; name = "" }
/^test result: / {
    for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) good += $(i - 1)
        if ($i ~ /^failed/) bad += $(i - 1)
    }
}
END { print good - skipped, bad + 0, skipped + 0 }
