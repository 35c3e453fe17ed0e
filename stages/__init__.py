"""The pipeline, and nothing else: a module, or a package with `__main__`, is one DVC stage. What only one stage uses lives in its
package; what several use lives in `weighbridge`."""
