# Reads nextest's JUnit report. Prints `skip NAME: WHY` for each test that skipped itself (a line `skipped: WHY` on its
# stderr), `flaky NAME` for each that failed and passed when it was run again, then one line `PASSED FAILED SKIPPED`.

function attribute(line, key,    from, rest) {
    from = index(line, " " key "=\"")
    rest = substr(line, from + length(key) + 3)
    return substr(rest, 1, index(rest, "\"") - 1)
}

function plain(text) {
    gsub(/&apos;/, "'", text); gsub(/&quot;/, "\"", text)
    gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&amp;/, "\\&", text)
    return text
}

/<testcase /              { name = attribute($0, "classname") " " attribute($0, "name"); why = ""; failed = flaky = 0; open = 1 }
open && /<(failure|error)[ >]/ { failed = 1 }
open && /<flaky(Failure|Error)[ >]/ { flaky = 1 }
open && why == "" && match($0, /(^|>)[ \t]*skipped: /) {
    why = substr($0, RSTART + RLENGTH); sub(/<\/.*/, "", why); why = why ? why : "it doesn't say why"
}
open && (/<\/testcase>/ || /<testcase [^>]*\/>/) {
    open = 0
    if (flaky && !failed) print "flaky " name
    if (failed) bad++
    else if (why != "") { skipped++; print "skip " name ": " plain(why) }
    else good++
}
END { print good + 0, bad + 0, skipped + 0 }
