import java.io.FileReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.runtime.TckRuntime;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestIdentifier;

/**
 * Runs the cases of the packages that the properties file names, and writes what
 * the summary says as lines that begin with "kit". The kit prints the rest.
 */
public class Main {
    public static void main(String[] args) throws Exception {
        var file = new Properties();
        try (var in = new FileReader(args[0])) {
            file.load(in);
        }
        Map<String, String> settings = new HashMap<>();
        file.forEach((k, v) -> settings.put((String) k, (String) v));
        settings.putIfAbsent("dataspacetck.launcher", "org.eclipse.dataspacetck.dcp.system.DcpSystemLauncher");
        var kit = TckRuntime.Builder.newInstance().properties(settings)
                .monitor(new ConsoleMonitor(Boolean.parseBoolean(settings.get("dataspacetck.debug")), false));
        for (var name : file.getProperty("packages").split(",")) {
            kit.addPackage(name);
        }
        var summary = kit.build().execute();
        summary.getFailures().forEach(f -> System.out.println("kit failure " + method(f.getTestIdentifier()) + " | "
                + String.valueOf(f.getException()).replace('\n', ' ')));
        System.out.printf("%nkit found=%d succeeded=%d failed=%d skipped=%d%n", summary.getTestsFoundCount(),
                summary.getTestsSucceededCount(), summary.getTestsFailedCount(), summary.getTestsSkippedCount());
        System.exit(summary.getTestsFailedCount() == 0 ? 0 : 1);
    }

    /** Cases are known by their methods; their titles are sentences. */
    private static String method(TestIdentifier test) {
        return test.getSource().filter(MethodSource.class::isInstance)
                .map(s -> ((MethodSource) s).getMethodName()).orElse(test.getDisplayName());
    }
}
