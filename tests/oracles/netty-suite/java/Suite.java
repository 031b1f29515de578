import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Map;
import java.util.TreeMap;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;

/** Runs test classes; those tests must fail, and no others, that the first argument's file lists with a reason each. */
public class Suite {
    public static void main(String[] args) throws IOException, ClassNotFoundException {
        Map<String, String> differences = new TreeMap<>();
        for (String line : Files.readAllLines(Paths.get(args[0]))) {
            if (!line.isEmpty() && !line.startsWith("#")) {
                differences.put(line.substring(0, line.indexOf(' ')), line.substring(line.indexOf(' ')).trim());
            }
        }
        int listed = differences.size();
        int run = 0;
        int surprises = 0;
        for (int i = 1; i < args.length; i++) {
            Result result = JUnitCore.runClasses(Class.forName(args[i]));
            run += result.getRunCount();
            for (Failure failure : result.getFailures()) {
                Description test = failure.getDescription();
                if (differences.remove(test.getClassName() + '.' + test.getMethodName()) == null) {
                    surprises++;
                    System.err.println("FAILED " + test.getClassName() + '.' + test.getMethodName() + ": " + failure.getException());
                }
            }
        }
        differences.keySet().forEach(test -> System.err.println("PASSED, though listed as a difference: " + test));
        System.out.println("Netty's tests: " + run + " run, " + (run - listed) + " pass, " + listed + " decide otherwise on purpose");
        System.exit(surprises + differences.size() == 0 ? 0 : 1);
    }
}
