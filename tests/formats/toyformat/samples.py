from nora.formats.samples import Sample, Step

SAMPLE = Sample(
    publish=(Step("PUT", "/toys/sample/1.0", 201, body=b"a toy"),),
    fetch=Step("GET", "/toys/sample/1.0", 200), fetched=b"a toy",
    absent=Step("GET", "/toys/absent", 404), refused=Step("POST", "/toys/sample", 405),
    malformed=Step("GET", "/toys/%252e%252e/%ff", 400), error_type="application/json",
)  # fmt: skip
