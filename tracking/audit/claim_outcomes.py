"""What a measured number is to a claimed one, as findings say it in their evidence (`claim`)."""

COMES_BACK, WITHIN, NOT_CONTRADICTED = "comes back", "comes close", "is not contradicted"
SHORT, EXCEEDS, OTHER_IMAGES = "falls short", "exceeds", "other images"
