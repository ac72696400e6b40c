import CCurl
import Glibc

extension ActiveTransfer {
    /// Tells the caller how libcurl ended the exchange.
    func conclude(_ code: CURLcode) {
        if let failure {
            conclude(failure.kind, failure.text)
        } else if hasRefusedAddress, code == CURLE_COULDNT_CONNECT {
            conclude(.forbiddenRedirect, "a redirect to a private address")
        } else if code != CURLE_OK {
            conclude(code, handle.explanation(of: code))
        } else {
            concludeWithAnswer()
        }
    }

    /// For when libcurl is content, which it may be without a final status: that is no answer.
    func concludeWithAnswer() {
        if !head.isComplete {
            conclude(.reset, "the connection closed without an answer")
        } else if transfer.delivery.isWhole {
            transfer.finish(whole: (head, whole))
        } else {
            transfer.finish()
        }
    }

    private func conclude(_ code: CURLcode, _ explanation: String) {
        // libcurl quotes the address that it cannot read: a password in it is not where one can be found and hidden.
        if explanation.hasPrefix("Unsupported proxy") {
            conclude(.proxy, "curl \(code.rawValue): the proxy's address is not one")
            return
        }
        let kind = HTTPError.Kind(code, isSent: isSent, explanation)
        let what = kind == .proxy ? "the proxy refuses or fails: " : ""
        conclude(kind, "\(what)curl \(code.rawValue): \(explanation)")
    }

    func conclude(_ kind: HTTPError.Kind, _ text: String) {
        transfer.finish(throwing: HTTPError(kind, during: phase, of: transfer, text, isSent: isSent))
    }
}

extension ProxyRule {
    /// Whether a proxy may stand between us and the host.
    var mayApply: Bool {
        switch self {
        case .none: false
        case .url: true
        case .environment: Self.names.contains { getenv($0) != nil }
        }
    }

    private static let names = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
}
