import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

/** Prints what a URL answers, by the connection that old Java clients (WSC among them) use. */
public class Get {
    public static void main(String[] args) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(args[0]).openConnection();
        try (InputStream in = connection.getInputStream()) {
            in.transferTo(System.out);
        }
    }
}
