import CCurl

extension HTTPError.Kind {
    /// What a code of libcurl means, with its words. `isSent`: a byte of the request may have left.
    init(_ code: CURLcode, isSent: Bool, _ explanation: String) {
        switch code {
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: self = .badURL
        case CURLE_COULDNT_RESOLVE_HOST: self = .unresolved
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY: self = .proxy
        case CURLE_COULDNT_CONNECT: self = .refused
        case CURLE_OPERATION_TIMEDOUT: self = isSent ? .timeout : .connectTimeout
        case CURLE_PARTIAL_FILE: self = .truncated
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_SEND_FAIL_REWIND, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_WEIRD_SERVER_REPLY:
            self = .reset
        case CURLE_RECV_ERROR where Self.isCertificateRefused(explanation): self = .tls
        // Before the request leaves, only a proxy that refuses the tunnel can fail to be read.
        case CURLE_RECV_ERROR: self = isSent ? .reset : .proxy
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_SHUTDOWN_FAILED,
            CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED:
            self = .tls
        default: self = .other
        }
    }

    /// Whether OpenSSL's words say that the server refuses our certificate. With TLS 1.3 it does so after our side of the hand-shake,
    /// so that its refusal comes where an answer is read.
    static func isCertificateRefused(_ explanation: String) -> Bool {
        guard let alert = explanation.utf8.firstRange(of: " alert ") else { return false }
        let rest = explanation.utf8[alert.upperBound...]
        return rest.firstRange(of: "certificate") != nil || rest.firstRange(of: "unknown ca") != nil
    }
}
