import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import kafka.server.KafkaConfig;
import org.apache.kafka.storage.internals.log.LogConfig;

/** Reads lines "broker|topic TAB key TAB value, percent-encoded" and answers each with Kafka's refusal, or with an empty line. */
public class ConfigVerdicts {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Map<?, ?> defaults = broker(Collections.emptyMap()).extractLogConfigMap();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split("\t", -1);
            String value = URLDecoder.decode(parts[2], StandardCharsets.UTF_8);
            String verdict = "";
            try {
                if (parts[0].equals("broker")) {
                    broker(Collections.singletonMap(parts[1], value));
                } else {
                    Properties props = new Properties();
                    props.setProperty(parts[1], value);
                    LogConfig.validate(Collections.emptyMap(), props, defaults, false, true);
                }
            } catch (Throwable e) {
                verdict = e.getClass().getSimpleName() + ": " + e.getMessage();
            }
            System.out.println(verdict.replace("\n", " "));
        }
    }

    private static KafkaConfig broker(Map<String, String> more) {
        Map<String, String> props = new HashMap<>();
        props.put("zookeeper.connect", "localhost:2181");
        props.putAll(more);
        return KafkaConfig.fromProps(properties(props), false);
    }

    private static Properties properties(Map<String, String> map) {
        Properties props = new Properties();
        props.putAll(map);
        return props;
    }
}
