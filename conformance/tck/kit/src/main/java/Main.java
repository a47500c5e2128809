import java.io.FileReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.runtime.TckRuntime;

/**
 * Runs the kit's cases with the properties file that is the argument, and writes
 * what the summary says as lines that begin with "kit". The kit prints the rest.
 */
public class Main {
    public static void main(String[] args) throws Exception {
        var file = new Properties();
        try (var in = new FileReader(args[0])) {
            file.load(in);
        }
        Map<String, String> settings = new HashMap<>();
        file.forEach((k, v) -> settings.put((String) k, (String) v));
        // Without its launcher each case ends in a NullPointerException.
        settings.putIfAbsent("dataspacetck.launcher", "org.eclipse.dataspacetck.dsp.system.DspSystemLauncher");

        var kit = TckRuntime.Builder.newInstance().properties(settings)
                .monitor(new ConsoleMonitor(Boolean.parseBoolean(settings.get("dataspacetck.debug")), false))
                .addPackage("org.eclipse.dataspacetck.dsp.verification");
        var only = file.getProperty("only");
        if (only != null) {
            kit.displayNameMatching(name -> !name.contains(":") || name.matches(".*(" + only + ").*"));
        }
        var summary = kit.build().execute();
        summary.getFailures().forEach(f -> System.out.println("kit failure " + f.getTestIdentifier().getDisplayName() + " | "
                + String.valueOf(f.getException()).replace('\n', ' ')));
        System.out.printf("%nkit found=%d succeeded=%d failed=%d skipped=%d%n", summary.getTestsFoundCount(),
                summary.getTestsSucceededCount(), summary.getTestsFailedCount(), summary.getTestsSkippedCount());
        System.exit(summary.getTestsFailedCount() == 0 ? 0 : 1);
    }
}
