import Testing

@testable import mlmirror

@Suite("dates")
struct InstantTests {
    @Test(
        "are read as UTC, or with their offset",
        arguments: [
            ("1970-01-01", 0), ("2024-01-01", 1_704_067_200_000), ("2024-02-29", 1_709_164_800_000), ("2000-03-01", 951_868_800_000),
            ("1969-12-31", -86_400_000), ("2024-01-31T12:00:00Z", 1_706_702_400_000), ("2024-01-31t12:00:00z", 1_706_702_400_000),
            ("2024-01-31T13:00:00.5+01:00", 1_706_702_400_500), ("2024-01-31T06:30:00-05:30", 1_706_702_400_000),
            ("2024-01-31T12:00:00.123456Z", 1_706_702_400_123), ("2100-02-28", 4_107_456_000_000),
        ])
    func reads(_ text: String, _ expected: Int64) { #expect(Instant.milliseconds(text) == expected) }

    @Test(
        "that are none are refused",
        arguments: [
            "", "yesterday", "2024", "2024-1-1", "2024-13-01", "2024-02-30", "2023-02-29", "2100-02-29", "2024-00-10", "2024-01-00",
            "2024-01-01 12:00:00Z", "2024-01-01T12:00:00", "2024-01-01T24:00:00Z", "2024-01-01T12:60:00Z", "2024-01-01T12:00Z",
            "2024-01-01T12:00:00.Z", "2024-01-01T12:00:00+0100", "2024-01-01Z", "٢٠٢٤-01-01", "2024-01-01T12:00:00Zjunk", "-024-01-01",
        ])
    func refuses(_ text: String) { #expect(Instant.milliseconds(text) == nil) }

    @Test("go to text and back", arguments: [0, 1, 999, 951_782_400_000, 1_709_164_799_999, 1_800_000_000_123, -1, -62_135_596_800_000])
    func roundTrip(_ milliseconds: Int64) {
        let text = Instant.text(milliseconds)
        #expect(Instant.milliseconds(text) == milliseconds)
        #expect(text.count == 24)
    }

    @Test("are written as RFC 3339")
    func writes() { #expect(Instant.text(1_706_702_400_500) == "2024-01-31T12:00:00.500Z") }
}
