import Replication

/// Where a verification's result goes: lines for people, or the JSON report on standard output, and a report file beside either.
struct VerifyOutlets: Sendable {
    private let console: Console
    private let isJSON: Bool
    private let isDeep: Bool
    private let style: Style
    private let lines: DifferenceLines
    private let linesAfterRepair: DifferenceLines
    private let reports: [JSONReport]
    private let file: WholeFile?

    init(_ command: VerifyCommand, _ settings: MirrorSettings, _ session: Session) throws {
        let console = session.console
        self.console = console
        isJSON = command.common.output.json
        isDeep = command.deep
        style = session.style(command.common.output.color)
        lines = DifferenceLines(console)
        linesAfterRepair = DifferenceLines(console)
        func report(_ write: @escaping @Sendable ([UInt8]) throws -> Void) throws -> JSONReport {
            try JSONReport(settings: settings, startedAt: session.clock.nowMilliseconds, isDeep: command.deep, write: write)
        }
        let file: WholeFile?
        do { file = try command.report.map { try WholeFile(path: $0) } } catch let error as WriteError {
            throw ConfigurationError(.flag("--report"), error.description)
        }
        self.file = file
        var reports: [JSONReport] = []
        if isJSON { reports.append(try report { console.result(String(decoding: $0, as: UTF8.self)) }) }
        if let file { reports.append(try report { try file.write($0) }) }
        self.reports = reports
    }

    func add(_ difference: Difference) throws {
        if !isJSON { lines.add(difference) }
        for report in reports { try report.add(difference) }
    }

    func addAfterRepair(_ difference: Difference) {
        if !isJSON { linesAfterRepair.add(difference) }
    }

    /// The first of two comparisons.
    func showFirst(_ summary: VerifySummary) {
        if !isJSON { console.result(text(summary, lines)) }
    }

    func showRepair(_ summary: BackfillSummary) throws {
        guard !isJSON else { return }
        let aside = summary.failureCount > 0 ? "; \(Quantity.count(summary.failureCount)) set aside" : ""
        console.result("Repaired in \(Quantity.duration(summary.seconds))\(aside); comparing again.\n")
    }

    func finish(_ summary: VerifySummary, afterRepair: VerifySummary?) throws {
        for report in reports { try report.finish(VerifyDocument(summary, afterRepair: afterRepair)) }
        try file?.commit()
        if !isJSON { console.result(text(afterRepair ?? summary, afterRepair == nil ? lines : linesAfterRepair)) }
    }

    /// The verification failed: what was found so far stays readable, as far as it can be written. Why it failed is the thing to tell.
    func abandon() {
        for report in reports { try? report.finish(nil) }
        try? file?.commit()
    }

    private func text(_ summary: VerifySummary, _ lines: DifferenceLines) -> String {
        VerifyText(summary: summary, hidden: lines.hidden, report: file?.path, isDeep: isDeep, style: style).text
    }
}
