import CCurl
import Glibc

/// An easy handle with what must live as long as its transfer. Used by one thread at a time, and used again for later requests.
final class CurlHandle {
    let easy: UnsafeMutableRawPointer
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var headers: UnsafeMutablePointer<curl_slist>?

    init?() {
        guard let easy = curl_easy_init() else {
            errorText.deallocate()
            return nil
        }
        self.easy = easy
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headers)
        errorText.deallocate()
    }

    /// libcurl's own words about the last failure, or its general text for `code`.
    func explanation(of code: CURLcode) -> String {
        if errorText[0] != 0 { return String(cString: errorText) }
        return curl_easy_strerror(code).map { String(cString: $0) } ?? "unknown"
    }

    /// Forgets the last request; connections stay with the multi handle.
    func reset() {
        curl_easy_reset(easy)
        curl_slist_free_all(headers)
        headers = nil
        errorText[0] = 0
    }

    /// Sets everything but the callbacks. The handle must be fresh or `reset()`.
    func configure(for transfer: Transfer, _ configuration: HTTPClientConfiguration) {
        let request = transfer.request
        ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        ccurl_set_string(easy, CURLOPT_URL, request.url)
        // Dot segments are part of a signed path.
        ccurl_set_long(easy, CURLOPT_PATH_AS_IS, 1)
        ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        ccurl_set_string(easy, CURLOPT_USERAGENT, configuration.userAgent)
        ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        ccurl_set_long(easy, CURLOPT_BUFFERSIZE, 128 << 10)
        ccurl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1)
        ccurl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, request.timeouts.connect.milliseconds)
        setReuse(for: transfer)
        setBody(for: transfer)
        setHeaders(for: transfer)
        setSecurity(configuration)
        switch configuration.proxy {
        case .environment: break
        case .none: ccurl_set_string(easy, CURLOPT_PROXY, "")
        case .url(let url): ccurl_set_string(easy, CURLOPT_PROXY, url)
        }
    }

    private func setReuse(for transfer: Transfer) {
        let request = transfer.request
        // A connection that the server closes just as a request goes out leaves that request in doubt. Common servers close after
        // 5 s (uvicorn) or 2 s (gunicorn) of silence, so a connection is not used again after 4 s, or 2 s by a request that cannot
        // be repeated. libcurl counts whole seconds and drops what is older than the number: 3 means below 4 s.
        ccurl_set_long(easy, CURLOPT_MAXAGE_CONN, request.isIdempotent ? 3 : 1)
        // Waiting for a connection that may turn out to be HTTP/2 pays only where HTTP/2 can be negotiated.
        if request.url.prefix(6).asciiLowercased == "https:" { ccurl_set_long(easy, CURLOPT_PIPEWAIT, 1) }
        // libcurl repeats a request on a dead kept connection when there is no body to rewind. A fresh connection is never "kept".
        // A foreign redirect needs one too: only a new connection has its address checked.
        if transfer.isForeign || (!request.isIdempotent && transfer.body.isEmpty) { ccurl_set_long(easy, CURLOPT_FRESH_CONNECT, 1) }
    }

    private func setBody(for transfer: Transfer) {
        let method = transfer.request.method
        switch (transfer.body.isEmpty, method) {
        case (true, .get): ccurl_set_long(easy, CURLOPT_HTTPGET, 1)
        case (true, .head): ccurl_set_long(easy, CURLOPT_NOBODY, 1)
        case (true, .delete): ccurl_set_string(easy, CURLOPT_CUSTOMREQUEST, method.rawValue)
        default:
            // The upload path for every method: it reads the body by callback and chooses chunking where the length is unknown.
            ccurl_set_long(easy, CURLOPT_UPLOAD, 1)
            ccurl_set_long(easy, CURLOPT_UPLOAD_BUFFERSIZE, 128 << 10)
            ccurl_set_size(easy, CURLOPT_INFILESIZE_LARGE, transfer.body.length ?? -1)
            ccurl_set_string(easy, CURLOPT_CUSTOMREQUEST, method.rawValue)
        }
    }

    private func setHeaders(for transfer: Transfer) {
        var acceptsCompression = transfer.delivery.isWhole && transfer.request.method != .head
        // No "Expect: 100-continue": it costs a second with servers that ignore it.
        append("Expect:")
        for header in transfer.request.headers {
            switch header.name.asciiLowercased {
            case "content-length", "transfer-encoding", "expect": continue
            case "accept-encoding", "range": acceptsCompression = false
            default: break
            }
            append(header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        ccurl_set_list(easy, CURLOPT_HTTPHEADER, headers)
        // Every encoding that libcurl can decode. Not for a stream: a paused decoder would hold its output without a limit of ours.
        if acceptsCompression { ccurl_set_string(easy, CURLOPT_ACCEPT_ENCODING, "") }
    }

    private func append(_ line: String) {
        // On failure libcurl leaves the list as it was.
        if let longer = curl_slist_append(headers, line) { headers = longer }
    }

    private func setSecurity(_ configuration: HTTPClientConfiguration) {
        ccurl_set_long(easy, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if !configuration.verifiesTLS {
            ccurl_set_long(easy, CURLOPT_SSL_VERIFYPEER, 0)
            ccurl_set_long(easy, CURLOPT_SSL_VERIFYHOST, 0)
        }
        if let path = configuration.caFile {
            var status = stat()
            let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            ccurl_set_string(easy, isFolder ? CURLOPT_CAPATH : CURLOPT_CAINFO, path)
        }
        if let path = configuration.clientCertificate {
            ccurl_set_string(easy, CURLOPT_SSLCERT, path)
            ccurl_set_string(easy, CURLOPT_SSLKEY, path)
        }
    }
}

extension HTTPBody {
    /// Nil when only the end of the stream will tell.
    var length: Int64? {
        switch self {
        case .none: 0
        case .bytes(let bytes): Int64(bytes.count)
        case .stream(let length, _): length
        }
    }

    /// Known beforehand to have no bytes.
    var isEmpty: Bool { length == 0 }
}

extension Transfer.Delivery {
    var isWhole: Bool {
        if case .whole = self { true } else { false }
    }
}

extension Double {
    /// Seconds as at least 1 ms and at most 11 days, which libcurl's counters hold on every platform.
    var milliseconds: Int { isNaN ? 1 : Int((min(max(self, 0.001), 1_000_000) * 1000).rounded(.up)) }
}
