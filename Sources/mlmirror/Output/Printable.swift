extension StringProtocol {
    /// With control and direction-changing characters made visible: text from a server must not steer a terminal.
    var printable: String {
        guard unicodeScalars.contains(where: \.isUnsafeToPrint) else { return String(self) }
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.isUnsafeToPrint: result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// At most `count` characters, with dots where some are left out.
    func shortened(to count: Int) -> String {
        if self.count <= count { return String(self) }
        return count < 3 ? String(prefix(Swift.max(0, count))) : prefix(count - 3) + "..."
    }
}

extension Unicode.Scalar {
    fileprivate var isUnsafeToPrint: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
