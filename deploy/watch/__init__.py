"""The local page that shows what arrives: cameras, live and kept pictures, of the local service and of AWS."""
